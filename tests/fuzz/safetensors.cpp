// Hugging Face's safetensors.
#include "fuzz/tensor_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rk::fuzz::read_tensor_file(rk::fuzz::file_of("x.safetensors", rk::fuzz::text_of(data, size)));
  return 0;
}
