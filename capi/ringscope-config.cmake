# find_package(ringscope) gives ringscope::ringscope (shared) and ringscope::static.
get_filename_component(_ringscope_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_package(Threads REQUIRED)

if(NOT TARGET ringscope::ringscope)
  add_library(ringscope::ringscope SHARED IMPORTED)
  set_target_properties(ringscope::ringscope PROPERTIES
    IMPORTED_LOCATION "${_ringscope_prefix}/lib/libringscope.so.1"
    IMPORTED_SONAME "libringscope.so.1"
    INTERFACE_INCLUDE_DIRECTORIES "${_ringscope_prefix}/include")
endif()
if(NOT TARGET ringscope::static)
  add_library(ringscope::static STATIC IMPORTED)
  set_target_properties(ringscope::static PROPERTIES
    IMPORTED_LOCATION "${_ringscope_prefix}/lib/libringscope.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_ringscope_prefix}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m;gcc_s")
endif()
unset(_ringscope_prefix)
