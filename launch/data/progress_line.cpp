#include "launch/data/progress_line.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/error.h"
#include "launch/data/report.h"

namespace rk {
namespace {

std::string time_text(double seconds) {
  const int64_t s = static_cast<int64_t>(seconds + 0.5);
  char text[48];
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", static_cast<long long>(s / 3600), static_cast<long long>(s / 60 % 60),
                static_cast<long long>(s % 60));
  return text;
}

}  // namespace

void ProgressLine::show(int64_t bytes_done, int64_t in_all) {
  if (begin_bytes_ < 0) {
    begin_bytes_ = bytes_done;
    on_terminal_ = isatty(STDERR_FILENO) != 0;
  }
  const double now = seconds();
  if (now - shown_at_ < (on_terminal_ ? 0.2 : 5)) return;
  shown_at_ = now;
  const double done = static_cast<double>(bytes_done), rate = static_cast<double>(bytes_done - begin_bytes_) / now;
  std::string text = bytes_text(done);
  if (in_all > 0) text += cat(" of ", bytes_text(static_cast<double>(in_all)));
  text += cat(", ", bytes_text(rate), "/s");
  if (in_all > 0 && rate > 0) text += cat(", ", time_text((static_cast<double>(in_all) - done) / rate), " left");
  std::fprintf(stderr, on_terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
}

ProgressLine::~ProgressLine() {
  if (on_terminal_ && shown_at_ > 0) std::fputs("\r\033[K", stderr);
}

}  // namespace rk
