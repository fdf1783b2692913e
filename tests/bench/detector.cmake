# A round of the alerts' detector.
ez_bench(detector SOURCES detector_bench.c LIBS ez_alerts)
