# FARFAULT_STATIC_RUNTIME: whether a program can bring its own C++ support. Not every distribution installs what that takes.
include(CheckCXXSourceCompiles)
include(CMakePushCheckState)

cmake_push_check_state(RESET)
set(CMAKE_REQUIRED_LINK_OPTIONS -static-libstdc++ -static-libgcc)
check_cxx_source_compiles("#include <string>\nint main(int count, char** words) { return std::string(words[count - 1]).empty(); }"
  FARFAULT_STATIC_RUNTIME)
cmake_pop_check_state()
