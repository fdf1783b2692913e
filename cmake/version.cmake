# Writes version.c: git describe, or the fallback where this is no git checkout.
set(version "0.1.0")
if(GIT)
  execute_process(COMMAND ${GIT} -C ${SOURCE} describe --tags --always --dirty OUTPUT_VARIABLE described
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE result)
  if(result EQUAL 0 AND described MATCHES "^v?[0-9]+\\.[0-9]+")
    string(REGEX REPLACE "^v" "" version ${described})
  elseif(result EQUAL 0 AND described)
    set(version "0.1.0-${described}")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#include \"proto/runtime/version.h\"\n\nconst char ez_version[] = \"${version}\";\n" @ONLY)
