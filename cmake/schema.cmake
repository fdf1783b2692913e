# From proto/ez/v1/*.proto: protobuf-c's structs, and our tables, stubs and documents by protoc-gen-ez. All of it lands in
# ${CMAKE_BINARY_DIR}/gen; nothing generated is committed.
find_program(EZ_PROTOC protoc REQUIRED)
find_path(EZ_PROTO_INCLUDE google/protobuf/descriptor.proto REQUIRED)
find_path(EZ_PROTOBUF_C_INCLUDE protobuf-c/protobuf-c.proto REQUIRED)
# protoc's own header files come in a package of their own, and the plugin's schema is among them.
if(NOT EXISTS ${EZ_PROTO_INCLUDE}/google/protobuf/compiler/plugin.proto)
  message(FATAL_ERROR "${EZ_PROTO_INCLUDE}/google/protobuf/compiler/plugin.proto is missing: install libprotoc-dev")
endif()
set(EZ_GEN ${CMAKE_BINARY_DIR}/gen)
file(MAKE_DIRECTORY ${EZ_GEN}/google/protobuf ${EZ_GEN}/ez/v1 ${EZ_GEN}/ez/options)
set(EZ_PROTOC_ARGS -I${CMAKE_SOURCE_DIR}/proto -I${EZ_PROTO_INCLUDE} -I${EZ_PROTOBUF_C_INCLUDE})

# ez_protobuf_c(OUT_VAR FILE…): runs protobuf-c's generator; files are named as imports name them.
function(ez_protobuf_c out)
  set(made)
  foreach(file ${ARGN})
    string(REGEX REPLACE "\\.proto$" "" stem ${file})
    set(source ${CMAKE_SOURCE_DIR}/proto/${file})
    if(NOT EXISTS ${source})
      set(source ${EZ_PROTO_INCLUDE}/${file})
    endif()
    add_custom_command(OUTPUT ${EZ_GEN}/${stem}.pb-c.c ${EZ_GEN}/${stem}.pb-c.h
      COMMAND ${EZ_PROTOC} ${EZ_PROTOC_ARGS} --c_out=${EZ_GEN} ${file}
      DEPENDS ${source} VERBATIM)
    list(APPEND made ${EZ_GEN}/${stem}.pb-c.c ${EZ_GEN}/${stem}.pb-c.h)
  endforeach()
  set(${out} ${made} PARENT_SCOPE)
endfunction()

file(GLOB EZ_V1_PROTOS CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/proto ${CMAKE_SOURCE_DIR}/proto/ez/v1/*.proto)
