include(Catch)

# farfault_test(NAME LABEL label [TIMEOUT seconds] [PROCESSORS n] [LIBS library...])
# One executable from all sources below this folder, each case a test of ctest. PROCESSORS is how many cores one case keeps
# busy. Cases tagged [serial] run with nothing beside them.
function(farfault_test name)
  cmake_parse_arguments(arg "" "LABEL;TIMEOUT;PROCESSORS" "LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  if(NOT FARFAULT_HAVE_VERBS)
    list(FILTER sources EXCLUDE REGEX "/transport/verbs/")
  endif()
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources} "${PROJECT_SOURCE_DIR}/test/support/catch/one_thread_asserts.cc")
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE farfault_internal farfault_build_options farfault_test_support
    Catch2::Catch2WithMain fmt::fmt OpenSSL::Crypto nlohmann_json::nlohmann_json Threads::Threads
    ${arg_LIBS})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  # What is under test is the library: the tests' own code is compiled with little optimisation, or none, in a fraction of
  # the time. Sanitized programs are several times slower.
  if(FARFAULT_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
    math(EXPR arg_TIMEOUT "5 * ${arg_TIMEOUT}")
  else()
    target_compile_options(${name} PRIVATE -Og)
  endif()
  set(properties LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 4)
  catch_discover_tests(${name} TEST_PREFIX "${arg_LABEL}:" TEST_SPEC "~[serial]"
    PROPERTIES ${properties} PROCESSORS ${arg_PROCESSORS})
  catch_discover_tests(${name} TEST_PREFIX "${arg_LABEL}:" TEST_SPEC "[serial]" PROPERTIES ${properties} RUN_SERIAL ON)
endfunction()
