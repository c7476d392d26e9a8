#include "comm/texts.h"

#include <algorithm>

namespace rk {

std::vector<std::string> gather_texts(Comm& comm, const std::string& text) {
  auto longest = static_cast<int64_t>(text.size()) + 1;
  comm.all_reduce({&longest, {1}, DType::i64, Device::cpu}, Reduce::max).wait();
  std::string mine = text, all(static_cast<size_t>(longest * comm.size()), '\0');
  mine.resize(static_cast<size_t>(longest), '\0');
  comm.all_gather({mine.data(), {longest}, DType::u8, Device::cpu}, {all.data(), {longest * comm.size()}, DType::u8, Device::cpu}).wait();
  std::vector<std::string> texts;
  for (int r = 0; r < comm.size(); ++r) texts.emplace_back(all.c_str() + r * longest);
  return texts;
}

}  // namespace rk
