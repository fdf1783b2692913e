option(EZ_TESTS "Build the tests" OFF)
set(EZ_SANITIZE "" CACHE STRING "Sanitizers: empty, address (with undefined) or thread")
set_property(CACHE EZ_SANITIZE PROPERTY STRINGS "" address thread)
option(EZ_CHECK "Compile for the warnings alone, in half the time" OFF)

# What our own code is held to; generated code is not.
add_library(ez_warnings INTERFACE)
target_compile_options(ez_warnings INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes
  -Wmissing-prototypes -Wvla -Wundef -Wwrite-strings)

# Assertions are for our own bugs and stay on in what is shipped: they cost little and say where.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
if(EZ_SANITIZE) # lines in reports are all that is wanted, and a fifth less to compile
  set(CMAKE_C_FLAGS_RELWITHDEBINFO "-g1")
endif()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-fno-omit-frame-pointer)
if(EZ_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # What gcc guesses about sanitized code is often wrong.
  target_compile_options(ez_warnings INTERFACE -Wno-maybe-uninitialized -Wno-format-truncation -Wno-stringop-truncation)
endif()
if(EZ_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(EZ_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -O1)
  add_link_options(-fsanitize=thread)
elseif(EZ_CHECK)
  add_compile_options(-O0 -g0)
else()
  add_compile_options(-fstack-protector-strong -O2)
  add_compile_definitions($<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/gen)
