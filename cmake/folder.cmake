# ez_library(NAME [LIBS …] [DIRS …]): one static library from the .c files of this folder (and of DIRS below it).
function(ez_library name)
  cmake_parse_arguments(arg "" "" "LIBS;DIRS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  foreach(dir ${arg_DIRS})
    file(GLOB more CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.c)
    list(APPEND sources ${more})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC ${arg_LIBS} PRIVATE ez_warnings)
endfunction()

include(GNUInstallDirs)

# ez_program(NAME [LIBS …]): a program from the .c files of this folder, in build/bin; installed.
function(ez_program name)
  cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${arg_LIBS} ez_version ez_warnings)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
