// A text that ends where one of several texts begins.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace rk {

// Bytes go in as they are made; what comes out is never part of a stop text, so the bytes that may begin one are held back.
class StopText {
 public:
  explicit StopText(std::vector<std::string> stops);  // none of them empty

  std::string feed(std::string_view bytes);
  bool ended() const { return ended_; }  // a stop text is complete; nothing comes out any more
  std::string rest();                    // what was held back; empty after a stop text

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool ended_ = false;
};

}  // namespace rk
