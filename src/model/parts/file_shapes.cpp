#include "model/parts/file_shapes.h"

#include <algorithm>
#include <charconv>

#include "model/families.h"

namespace rk {

FileShapes::FileShapes(const std::vector<TensorInfo>& tensors, const std::string& path, const char* family) : path_(path), family_(family) {
  for (const TensorInfo& t : tensors) by_name_[plain_name(t.name)] = &t;
}

const std::vector<int64_t>& FileShapes::shape(const std::string& name, size_t rank) const {
  const auto it = by_name_.find(name);
  if (it == by_name_.end()) fail(cat(path_, ": tensor ", name, " is missing; an ", family_, " model has it"));
  if (it->second->shape.size() != rank || it->second->numel() == 0)
    fail(cat(path_, ": tensor ", name, " has shape ", shape_text(it->second->shape), "; ",
             rank == 2 ? std::string("a matrix is") : cat(rank, " dimensions are"), " needed there"));
  return it->second->shape;
}

int64_t FileShapes::count_blocks() const {
  int64_t highest = -1;
  for (const auto& [name, info] : by_name_) {
    if (!name.starts_with("blocks.")) continue;
    int64_t l = -1;
    const char* begin = name.data() + 7;
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), l);
    if (error != std::errc() || *end != '.' || l < 0 || l >= 100000) fail(cat(path_, ": tensor ", name, " has no sensible block number"));
    highest = std::max(highest, l);
  }
  return highest + 1;
}

int64_t settle(const FoundSize& f, const std::string& path) {
  if (f.given != 0 && f.given != f.value)
    fail(cat(path, ": tensor ", f.tensor, " says ", f.flag, " = ", f.value, ", but --", f.flag, " ", f.given,
             " was given; leave the flag out or give ", f.value));
  return f.value;
}

void complete_size(int64_t& value, int64_t otherwise, const char* flag) {
  if (value < 0) fail(cat("--", flag, " ", value, " is negative; give a positive number or leave it out"));
  if (value == 0) value = otherwise;
}

void check_multiple_of_32(int64_t value, const char* flag) {
  if (value % 32 != 0) fail(cat("--", flag, " ", value, " is not a multiple of 32; try ", (value + 31) / 32 * 32));
}

void check_heads(int64_t C, int64_t N) {
  if (N < 8 || N > 256 || N % 8 != 0) fail(cat("head_size = ", N, " is not a multiple of 8 between 8 and 256; 64 is usual"));
  if (C % N != 0) fail(cat("n_embd = ", C, " is not a multiple of head_size = ", N, "; try ", std::max<int64_t>(1, C / N) * N));
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += cat(i ? ", " : "", shape[i]);
  return text + "]";
}

}  // namespace rk
