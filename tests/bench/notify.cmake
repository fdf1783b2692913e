# What a change on one server costs to reach the other, without either.
ez_bench(notify SOURCES notify.c LIBS ez_runtime ez_nng PkgConfig::libpq)
