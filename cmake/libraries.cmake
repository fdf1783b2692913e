# Debian's packages, found once. tools/setup installs them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(protobuf_c REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(jansson REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(openssl REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(libpq REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(urcu REQUIRED IMPORTED_TARGET liburcu-bp liburcu-cds)
pkg_check_modules(libevent REQUIRED IMPORTED_TARGET libevent_core libevent_extra libevent_pthreads)
pkg_check_modules(zlib REQUIRED IMPORTED_TARGET zlib)

# nng: 1.5.2 has CMake files in Debian, newer ones a pkg-config file; the library itself is all we need.
find_library(EZ_NNG_LIBRARY nng REQUIRED)
find_path(EZ_NNG_INCLUDE nng/nng.h REQUIRED)
add_library(ez_nng INTERFACE)
target_link_libraries(ez_nng INTERFACE ${EZ_NNG_LIBRARY} Threads::Threads)
target_include_directories(ez_nng INTERFACE ${EZ_NNG_INCLUDE})
