# Installs into an empty PREFIX and looks at what came: all that users need, and nothing of the inside.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX} COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)

file(GLOB_RECURSE installed RELATIVE ${PREFIX} ${PREFIX}/*)
set(programs "")
if(CLI)
  list(APPEND programs "^bin/farfault$")
endif()
if(INTERPOSER)
  list(APPEND programs "^${LIBDIR}/farfault/libfarfault_qemu\\.so$")
endif()
foreach(wanted ${programs} "^include/farfault/farfault\\.h$" "^include/farfault/c\\.h$"
    "^include/farfault/c/session\\.h$" "/libfarfault\\.(a|so)$" "/farfaultConfig\\.cmake$"
    "/farfaultConfigVersion\\.cmake$" "/farfaultTargets\\.cmake$" "/pkgconfig/farfault\\.pc$")
  set(found ${installed})
  list(FILTER found INCLUDE REGEX "${wanted}")
  if(NOT found)
    message(FATAL_ERROR "Nothing like ${wanted} was installed, only: ${installed}")
  endif()
endforeach()

set(strangers ${installed})
list(FILTER strangers EXCLUDE REGEX
  "^include/farfault/(c/)?[a-z_]+\\.h$|/libfarfault\\.(a|so[.0-9]*)$|/cmake/farfault/farfault[A-Za-z-]*\\.cmake$|/pkgconfig/farfault\\.pc$|^bin/farfault$|/farfault/libfarfault_qemu\\.so$")
if(strangers)
  message(FATAL_ERROR "Installed although it is nobody's business: ${strangers}")
endif()

if(CLI)
  execute_process(COMMAND ${PREFIX}/bin/farfault --version OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
  if(NOT said MATCHES "farfault ${VERSION} ")
    message(FATAL_ERROR "The installed command is of another version than ${VERSION}: ${said}")
  endif()
endif()

# What is preloaded has to load where nothing of the build is around, into a program that is no QEMU.
if(INTERPOSER)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LD_PRELOAD=${PREFIX}/${LIBDIR}/farfault/libfarfault_qemu.so true
    ERROR_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
  if(said)
    message(FATAL_ERROR "libfarfault_qemu.so does not load: ${said}")
  endif()
endif()
