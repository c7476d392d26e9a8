// Opens a file of tensors and reads what it is said to hold.
#pragma once
#include <algorithm>
#include <vector>

#include "fuzz/fuzz.h"
#include "io/tensor_file.h"

namespace rk::fuzz {

inline void read_tensor_file(const std::string& path) {
  accept_or_refuse([&] {
    const auto reader = open_tensor_file(path);
    accept_or_refuse([&] { reader->verify(); });
    reader->metadata();
    std::vector<std::byte> buffer;
    size_t rest = size_t{4} << 20;  // bytes that are read of all tensors: an input may claim much more than it holds
    for (size_t i = 0; i < reader->tensors().size() && i < 1000; ++i) {
      const TensorInfo& t = reader->tensors()[i];
      const size_t element = size_of(t.dtype);
      const auto n = std::min(t.numel(), static_cast<int64_t>(rest / element));
      buffer.resize(static_cast<size_t>(n) * element);
      accept_or_refuse([&] {
        reader->read(i, 0, n, buffer.data());
        if (t.numel() > 0) reader->read(i, t.numel() - 1, 1, buffer.data());
        if (const std::byte* mapped = reader->mapped(i)) std::copy_n(mapped, n * static_cast<int64_t>(element), buffer.data());
      });
      rest -= buffer.size();
    }
  });
}

}  // namespace rk::fuzz
