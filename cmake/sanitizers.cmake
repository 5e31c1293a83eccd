# Address and undefined-behaviour sanitizers for every target that is defined after this file is included.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined>
                    $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all> $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
add_link_options(-fsanitize=address,undefined)
# Not the stack: the kernels' locals are hundreds of inlined vectors, whose red zones take minutes to compile. What the
# kernels read and write is on the heap.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:--param asan-stack=0>")
endif()
