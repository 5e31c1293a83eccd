# Address and undefined-behaviour sanitizers for every target that is defined after this file is included.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined>
                    $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all> $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
add_link_options(-fsanitize=address,undefined)
