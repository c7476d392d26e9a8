#include "comm/texts.h"

#include <algorithm>

namespace rk {
std::vector<std::string> gather_texts(Comm& comm, const std::string& mine) {
  const auto world = static_cast<size_t>(comm.size());
  auto length = static_cast<int64_t>(mine.size());
  std::vector<int64_t> lengths(world);
  comm.all_gather({&length, {1}, DType::i64, Device::cpu}, {lengths.data(), {comm.size()}, DType::i64, Device::cpu}).wait();
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> texts(world);
  if (longest == 0) return texts;
  std::string padded = mine, all(static_cast<size_t>(longest) * world, '\0');
  padded.resize(static_cast<size_t>(longest));
  comm.all_gather({padded.data(), {longest}, DType::u8, Device::cpu}, {all.data(), {longest * comm.size()}, DType::u8, Device::cpu}).wait();
  for (size_t r = 0; r < world; ++r) texts[r] = all.substr(r * static_cast<size_t>(longest), static_cast<size_t>(lengths[r]));
  return texts;
}

std::optional<std::string> first_of(const std::vector<std::string>& texts) {
  for (const std::string& t : texts)
    if (!t.empty()) return t;
  return std::nullopt;
}

}  // namespace rk
