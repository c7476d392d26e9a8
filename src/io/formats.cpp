// The formats of tensor files: the only place that knows all of them.
#include <cstring>
#include <span>
#include <unordered_set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "io/foreign.h"
#include "io/hdf5/tensors.h"
#include "io/pth/pth.h"
#include "io/safetensors/safetensors.h"
#include "io/tensor_file.h"
#include "io/utf8.h"

namespace rk {
namespace {

using Bytes = std::span<const std::byte>;

bool starts_with(Bytes file, std::string_view head) {
  return file.size() >= head.size() && std::memcmp(file.data(), head.data(), head.size()) == 0;
}
// Zip archive, or a pickle of protocol 2 to 5.
bool looks_like_pth(Bytes file) {
  const bool pickle = starts_with(file, "\x80") && file.size() > 1 && file[1] >= std::byte{2} && file[1] <= std::byte{5};
  return pickle || starts_with(file, "PK\x03\x04") || starts_with(file, "PK\x05\x06");
}
bool looks_like_safetensors(Bytes file) {
  uint64_t n = 0;
  if (file.size() < 9) return false;
  std::memcpy(&n, file.data(), sizeof n);
  return file[8] == std::byte{'{'} && n <= 100'000'000;
}
bool looks_like_h5(Bytes file) { return starts_with(file, "\x89HDF\r\n\x1a\n"); }

struct Format {
  const char* endings[2];
  bool (*matches)(Bytes file);
  std::unique_ptr<TensorReader> (*open)(const std::string& path);
  std::unique_ptr<TensorWriter> (*create)(const std::string& path, std::vector<TensorInfo> infos,
                                          const std::map<std::string, std::string>& metadata);
};
// .st is what Ai00 calls its own variant of safetensors, so it is no ending to write under.
constexpr Format formats[] = {
    // First: its length may start as a pickle does.
    {{".safetensors", ".safetensors"}, looks_like_safetensors, open_safetensors, create_safetensors},
    {{".pth", ".pt"}, looks_like_pth, open_pth, create_pth},
    {{".h5", ".hdf5"}, looks_like_h5, open_h5, create_h5},
};

const Format* by_ending(const std::string& path) {
  for (const Format& f : formats)
    for (const char* ending : f.endings)
      if (path.ends_with(ending)) return &f;
  return nullptr;
}

}  // namespace

std::unique_ptr<TensorReader> open_tensor_file(const std::string& path) {
  const Format* format = nullptr;
  {
    const MappedFile file(path);
    for (const Format& f : formats)
      if (!format && f.matches(file.bytes())) format = &f;
    const std::string foreign = format ? "" : describe_foreign(file.bytes());
    if (!foreign.empty()) fail(cat(path, " is ", foreign));
  }
  if (!format) format = by_ending(path);  // whose reader can say what is wrong with it
  if (!format) fail(cat(path, " is no .pth, safetensors or HDF5 file: its first bytes are unknown"));
  return format->open(path);
}

std::unique_ptr<TensorWriter> create_tensor_file(const std::string& path, std::vector<TensorInfo> infos,
                                                 const std::map<std::string, std::string>& metadata) {
  const Format* format = by_ending(path);
  if (!format) fail(cat("cannot write ", path, ": its ending must be .pth, .safetensors or .h5"));
  std::unordered_set<std::string_view> names;
  for (const TensorInfo& t : infos) {
    if (!is_utf8(t.name)) fail(cat("cannot write ", path, ": the name ", printable(t.name), " is not UTF-8"));
    if (!names.insert(t.name).second) fail(cat("cannot write ", path, ": two tensors are called ", printable(t.name)));
  }
  return format->create(path, std::move(infos), metadata);
}

}  // namespace rk
