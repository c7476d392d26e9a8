#include "data/chat/stop_text.h"

#include <algorithm>
#include <utility>

namespace rk {

StopText::StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

std::string StopText::feed(std::string_view bytes) {
  if (ended_) return "";
  held_ += bytes;
  size_t end = held_.size();  // of what can go out
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    ended_ |= at != held_.npos;
    size_t n = std::min(stop.size() - 1, held_.size());  // the longest end of held_ that begins the stop text
    while (n > 0 && !held_.ends_with(std::string_view(stop).substr(0, n))) --n;
    end = std::min({end, at, held_.size() - n});
  }
  std::string out = held_.substr(0, end);
  held_.erase(0, end);
  if (ended_) held_.clear();
  return out;
}

std::string StopText::rest() { return std::exchange(held_, ""); }

}  // namespace rk
