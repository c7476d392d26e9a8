#include "io/foreign.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace rk {
namespace {

struct Mark {
  size_t offset;
  std::string_view bytes;
  const char* meaning;
};

constexpr Mark marks[] = {
    {0, "version https://git-lfs", "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"},
    {0, "<!DOCTYPE", "an HTML page, not a file of tensors; the download led to a web page"},
    {0, "<!doctype", "an HTML page, not a file of tensors; the download led to a web page"},
    {0, "<html", "an HTML page, not a file of tensors; the download led to a web page"},
    {0, "<HTML", "an HTML page, not a file of tensors; the download led to a web page"},
    {257, "ustar", "a tar archive (PyTorch before 0.4 wrote such files), which is not supported"},
    {0, "\x1f\x8b", "compressed by gzip; unpack it first"},
    {0, "\x78\x01", "a zlib stream; unpack it first"},
    {0, "\x78\x9c", "a zlib stream; unpack it first"},
    {0, "\x78\xda", "a zlib stream; unpack it first"},
    {0, "\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"},
    {0, "\xfd\x37zXZ", "compressed by xz; unpack it first"},
    {0, "7z\xbc\xaf", "a 7-Zip archive; unpack it first"},
    {0, "GGUF", "a GGUF file, which is not supported"},
    {0, "\x93NUMPY", "a NumPy array, which is not supported"},
    {0, "MMIDIDX", "the index of a binidx data set, not a file of tensors"},
};

}  // namespace

std::string describe_foreign(std::span<const std::byte> file) {
  if (file.empty()) return "empty";
  const std::string_view text(reinterpret_cast<const char*>(file.data()), std::min<size_t>(file.size(), 512));
  for (const Mark& m : marks)
    if (text.size() >= m.offset && text.substr(m.offset).starts_with(m.bytes)) return m.meaning;
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == 0; })) return "full of zeros: an interrupted download or copy";
  return "";
}

}  // namespace rk
