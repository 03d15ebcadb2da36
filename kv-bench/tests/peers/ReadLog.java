import java.io.PrintStream;
import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;

/**
 * What HdrHistogram's reference implementation makes of an interval log. Prints, for each interval,
 * its tag, start, length, count, percentiles and maximum in nanoseconds; with a second argument, the
 * percentile distribution of the interval with that tag instead, in microseconds.
 */
public class ReadLog {
    public static void main(String[] args) throws Exception {
        HistogramLogReader reader = new HistogramLogReader(args[0]);
        EncodableHistogram next;
        while ((next = reader.nextIntervalHistogram()) != null) {
            Histogram histogram = (Histogram) next;
            if (args.length > 1) {
                if (args[1].equals(histogram.getTag())) {
                    histogram.outputPercentileDistribution(System.out, 5, 1000.0);
                }
                continue;
            }
            StringBuilder line = new StringBuilder(histogram.getTag());
            line.append(' ').append(histogram.getStartTimeStamp());
            line.append(' ').append(histogram.getEndTimeStamp() - histogram.getStartTimeStamp());
            line.append(' ').append(histogram.getTotalCount());
            for (double percentile : new double[] {50, 90, 95, 99, 99.9, 99.99}) {
                line.append(' ').append(histogram.getValueAtPercentile(percentile));
            }
            System.out.println(line.append(' ').append(histogram.getMaxValue()));
        }
    }
}
