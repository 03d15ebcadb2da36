"""The parts of scripts/compare-peers, each with how it measures, shows and judges."""
