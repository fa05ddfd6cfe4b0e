# Read by CMake right behind llama.cpp's own `project()`.

# llama-cpp-python forces the `common` library on. Only llama.cpp's programs use it, and it is a
# third of what there is to compile.
set(LLAMA_BUILD_COMMON OFF)

# AMX is left out. A virtual machine may announce its instructions and not run them, and the first
# prompt then ends the process (SIGILL). Nor do its sums agree bit for bit with those of a machine
# without it, so honest miners would differ.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64|i[3-6]86)$")
  include(CheckCXXCompilerFlag)
  foreach(part tile int8 bf16 fp16)
    check_cxx_compiler_flag(-mno-amx-${part} CAN_LEAVE_OUT_AMX_${part})
    if(CAN_LEAVE_OUT_AMX_${part})
      add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-mno-amx-${part}>)
    endif()
  endforeach()
endif()
