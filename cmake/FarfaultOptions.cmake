if(NOT CMAKE_BUILD_TYPE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_program(FARFAULT_CCACHE ccache)
if(FARFAULT_CCACHE AND PROJECT_IS_TOP_LEVEL AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Relative paths in the cache: another checkout of the same sources finds them again.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    ${FARFAULT_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

# Everything that is compiled here gets these; users of the library get only C++20 and the include path.
add_library(farfault_build_options INTERFACE)
target_compile_features(farfault_build_options INTERFACE cxx_std_20)
target_compile_options(farfault_build_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast> -Wunused-result
  $<$<BOOL:${FARFAULT_WARNINGS_AS_ERRORS}>:-Werror>)
if(FARFAULT_SANITIZE)
  target_compile_options(farfault_build_options INTERFACE -fsanitize=${FARFAULT_SANITIZE} -fno-omit-frame-pointer)
  if(FARFAULT_SANITIZE STREQUAL "thread")
    target_compile_options(farfault_build_options INTERFACE -Wno-tsan)
  endif()
  target_link_options(farfault_build_options INTERFACE -fsanitize=${FARFAULT_SANITIZE})
endif()
