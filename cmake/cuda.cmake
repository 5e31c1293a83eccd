# CUDA kernels where a compiler is found; without them run() in csrc/core/run.h throws an error that says how to rebuild.
#
# Machine code for sm_80 and sm_90; newer devices compile the PTX of the newest of the two when they first load it.
set(PINN_EXT_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "CMake's CUDA_ARCHITECTURES for the CUDA kernels")

if(NOT PINN_EXT_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "PINN_EXT_CUDA: expected AUTO, ON or OFF, got '${PINN_EXT_CUDA}'")
endif()

set(PINN_WITH_CUDA OFF)
if(NOT PINN_EXT_CUDA STREQUAL "OFF")
  # The architectures must be known before the language is enabled.
  set(CMAKE_CUDA_ARCHITECTURES ${PINN_EXT_CUDA_ARCHITECTURES})
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(PINN_WITH_CUDA ON)
  elseif(PINN_EXT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PINN_EXT_CUDA=ON: expected a CUDA compiler, found none. Put nvcc on the PATH or set CUDACXX, "
                        "or build for the CPU alone with PINN_EXT_CUDA=OFF")
  endif()
endif()

if(PINN_WITH_CUDA)
  message(STATUS "pinn_ext: CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${PINN_EXT_CUDA_ARCHITECTURES}")
  string(REPLACE ";" "," architectures "${PINN_EXT_CUDA_ARCHITECTURES}")
  set(PINN_CUDA_DEFINITIONS PINN_CUDA_VERSION="${CMAKE_CUDA_COMPILER_VERSION}"
                            PINN_CUDA_ARCHITECTURES="${architectures}")
else()
  message(STATUS "pinn_ext: without CUDA")
endif()

function(pinn_cuda_kernels target)
  if(NOT PINN_WITH_CUDA)
    return()
  endif()
  foreach(kernel IN LISTS ARGN)
    target_sources(${target} PRIVATE ${kernel}_cuda.cu)
  endforeach()
  target_compile_definitions(${target} PUBLIC PINN_CUDA)
  set_target_properties(${target} PROPERTIES CUDA_STANDARD 17 CUDA_VISIBILITY_PRESET hidden)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--extended-lambda>)
endfunction()
