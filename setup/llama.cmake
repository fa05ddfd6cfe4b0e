# Read by CMake right behind llama.cpp's own `project()`: llama-cpp-python forces its `common`
# library on, which only llama.cpp's programs use, and it is a third of what there is to compile.
set(LLAMA_BUILD_COMMON OFF)
