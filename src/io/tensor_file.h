// Files of named tensors, whatever their format.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace rk {

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  int64_t numel() const {
    int64_t n = 1;
    for (int64_t s : shape) n *= s;
    return n;
  }
};

// Reads tensors by name. Every error is bad_input (exit code 2) and names the file and the tensor, offset or value.
class TensorReader {
 public:
  virtual ~TensorReader() = default;
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Elements [first, first + n) of tensor `index`, in row-major order of its shape, in the stored dtype.
  virtual void read(size_t index, int64_t first, int64_t n, void* destination) = 0;
  // The tensor's numbers as read() would give them, where they lie in memory so already (a mapped file); null where they do not. Any thread
  // may read them.
  virtual const std::byte* mapped(size_t /*index*/) const { return nullptr; }
  virtual std::map<std::string, std::string> metadata() const { return {}; }
  virtual const char* format() const = 0;  // "pth", "safetensors", "h5"
  // Reads everything and checks the checksums that the format has; says in one line what was checked, refuses damage.
  virtual std::string verify() = 0;

  int find(std::string_view name) const;  // index or -1
  // The same elements converted to double, float or bf16 (any numeric stored dtype).
  template <class T>
  void read_as(size_t index, int64_t first, int64_t n, T* destination);
};

// Writes tensors one after another, in the order of `infos`, streaming. The file appears under its name only in finish():
// before, it is PATH.tmp, removed when the writer dies unfinished. A full disk throws an Error naming file and bytes.
class TensorWriter {
 public:
  virtual ~TensorWriter() = default;
  virtual void write(const void* data, size_t n_bytes) = 0;  // the next bytes of the current tensor; moves on when it is full
  virtual void finish() = 0;                                 // all tensors must be complete; fsync, rename
};

// By content for readers; by the ending of the path for writers (.pth, .safetensors, .h5), unknown endings refused.
std::unique_ptr<TensorReader> open_tensor_file(const std::string& path);
std::unique_ptr<TensorWriter> create_tensor_file(const std::string& path, std::vector<TensorInfo> infos,
                                                 const std::map<std::string, std::string>& metadata);

}  // namespace rk
