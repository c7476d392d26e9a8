// PyTorch's .pth, zip archives and legacy streams. Half of the archives lose their checksums, which the reader then does not ask for: else
// every change of a record would end there.
#include "fuzz/tensor_file.h"

namespace {

// Sets the CRC fields behind the signatures of local headers and of the directory's entries to 0, "none".
void forget_checksums(std::string& file) {
  for (const auto& [signature, crc_at] :
       {std::pair{std::string_view("PK\x03\x04", 4), size_t{14}}, {std::string_view("PK\x01\x02", 4), 16}})
    for (size_t at = file.find(signature); at != file.npos && at + crc_at + 4 <= file.size(); at = file.find(signature, at + 4))
      file.replace(at + crc_at, 4, 4, '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string file(rk::fuzz::text_of(data, size));
  if (size > 0 && data[size - 1] % 2 == 0) forget_checksums(file);
  rk::fuzz::read_tensor_file(rk::fuzz::file_of("x.pth", file));
  return 0;
}
