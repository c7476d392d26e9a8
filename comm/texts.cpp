#include "comm/texts.h"

#include <algorithm>

namespace rk {
namespace {

Tensor over(void* data, int64_t n, DType dtype) {
  Tensor t;
  t.data = data;
  t.shape = {n};
  t.dtype = dtype;
  return t;
}

}  // namespace

std::vector<std::string> gather_texts(Comm& comm, const std::string& mine) {
  const auto world = static_cast<size_t>(comm.size());
  auto length = static_cast<int64_t>(mine.size());
  std::vector<int64_t> lengths(world);
  comm.all_gather(over(&length, 1, DType::i64), over(lengths.data(), comm.size(), DType::i64)).wait();
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> texts(world);
  if (longest == 0) return texts;
  std::string padded = mine, all(static_cast<size_t>(longest) * world, '\0');
  padded.resize(static_cast<size_t>(longest));
  comm.all_gather(over(padded.data(), longest, DType::u8), over(all.data(), longest * comm.size(), DType::u8)).wait();
  for (size_t r = 0; r < world; ++r) texts[r] = all.substr(r * static_cast<size_t>(longest), static_cast<size_t>(lengths[r]));
  return texts;
}

std::optional<std::string> first_of(const std::vector<std::string>& texts) {
  for (const std::string& t : texts)
    if (!t.empty()) return t;
  return std::nullopt;
}

}  // namespace rk
