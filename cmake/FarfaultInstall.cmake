# What gets installed: the public headers, the library, the command with what it has a QEMU preload, and what CMake and
# pkg-config need to find them.
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/farfault DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS farfault EXPORT farfaultTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(FARFAULT_BUILD_CLI)
  install(TARGETS farfault_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(TARGET farfault_qemu)
    # No library that anybody links: out of the linker's sight.
    install(TARGETS farfault_qemu LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/farfault)
  endif()
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/farfault)
install(EXPORT farfaultTargets NAMESPACE farfault:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/farfaultConfig.cmake.in
  ${PROJECT_BINARY_DIR}/farfaultConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/farfaultConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/farfaultConfig.cmake ${PROJECT_BINARY_DIR}/farfaultConfigVersion.cmake
  DESTINATION ${package_dir})

# pkg-config's names for what the library links.
function(pkg_config_names result)
  set(names "")
  foreach(library ${ARGN})
    if(library MATCHES "^absl::(.*)")
      list(APPEND names absl_${CMAKE_MATCH_1})
    elseif(library STREQUAL "fmt::fmt")
      list(APPEND names fmt)
    elseif(library STREQUAL "OpenSSL::Crypto")
      list(APPEND names libcrypto)
    elseif(library STREQUAL "PkgConfig::FARFAULT_VERBS")
      list(APPEND names libibverbs librdmacm)
    elseif(NOT library STREQUAL "Threads::Threads")
      message(FATAL_ERROR "What is ${library} called in pkg-config? Teach it to FarfaultInstall.cmake.")
    endif()
  endforeach()
  list(JOIN names ", " names)
  set(${result} "${names}" PARENT_SCOPE)
endfunction()

get_directory_property(public_libraries DIRECTORY ${PROJECT_SOURCE_DIR}/lib DEFINITION farfault_public_libraries)
get_directory_property(private_libraries DIRECTORY ${PROJECT_SOURCE_DIR}/lib DEFINITION farfault_private_libraries)
pkg_config_names(PC_REQUIRES ${public_libraries})
pkg_config_names(PC_REQUIRES_PRIVATE ${private_libraries})
if(NOT BUILD_SHARED_LIBS)
  # Whoever links the archive links all that it needs, with or without --static.
  string(APPEND PC_REQUIRES ", ${PC_REQUIRES_PRIVATE}")
  set(PC_REQUIRES_PRIVATE "")
  # Those of C need what C++ runs on as well; for those of C++ it is there anyway.
  set(PC_MORE_LIBS " -lstdc++ -lm -pthread")
endif()
# Relative to the file itself, so that the tree can be installed anywhere and moved.
file(RELATIVE_PATH PC_PREFIX_FROM_FILE /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/farfault.pc.in ${PROJECT_BINARY_DIR}/farfault.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/farfault.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
