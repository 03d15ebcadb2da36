"""What PyPI's hdrhistogram makes of an interval log: one line per interval, as ReadLog.java prints."""
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 60_000_000_000, 3))
while (histogram := reader.get_next_interval_histogram()) is not None:
    start_ms, end_ms = histogram.get_start_time_stamp(), histogram.get_end_time_stamp()
    values = [histogram.get_value_at_percentile(p) for p in (50, 90, 95, 99, 99.9, 99.99, 100)]
    print(histogram.get_tag(), round(start_ms), round(end_ms - start_ms), histogram.get_total_count(), *values)
