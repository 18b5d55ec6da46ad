# Takes FARFAULT into PROJECT's tree: that has to configure, to find the headers, and to get none of farfault's own programs.
set(build ${PROJECT}/build)
file(REMOVE_RECURSE ${build})
execute_process(COMMAND ${CMAKE_COMMAND} -S ${PROJECT} -B ${build} -G ${GENERATOR} ${OPTIONS}
  -DFETCHCONTENT_SOURCE_DIR_FARFAULT=${FARFAULT} COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} --target CMakeFiles/pager.dir/main.cc.o
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} --target help OUTPUT_VARIABLE targets COMMAND_ERROR_IS_FATAL ANY)
if(targets MATCHES "farfault_[a-z]*test|farfault_bench|farfault_command|example_|farfault_headers")
  message(FATAL_ERROR "Another project's tree gets ${CMAKE_MATCH_0}, which is farfault's own")
endif()
