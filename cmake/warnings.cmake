# Strict warnings for our own targets.
function(pinn_warnings target)
  set(warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wdouble-promotion -Wold-style-cast
               -Wnon-virtual-dtor -Woverloaded-virtual)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Vectors never cross a call: every function that takes one is inlined.
    list(APPEND warnings -Wno-psabi -Wduplicated-cond -Wlogical-op -Wuseless-cast)
  endif()
  if(PINN_EXT_WERROR)
    list(APPEND warnings -Werror)
  endif()
  foreach(warning IN LISTS warnings)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${warning}>)
  endforeach()
endfunction()
