#include "launch/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace rk {
namespace {

constexpr double smoothing = 0.05;          // weight of the newest loss once twenty have been seen
constexpr double redraw_interval_s = 0.15;  // at most so often

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 120;
}

// "1:02:03", "2d 01:02:03"
std::string clock_time(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  const int64_t days = s / 86400, h = s / 3600 % 24, m = s / 60 % 60;
  if (days > 0) return fmt::format("{}d {:02}:{:02}:{:02}", days, h, m, s % 60);
  return fmt::format("{}:{:02}:{:02}", h, m, s % 60);
}

// Percent of a step that rank 0 waited for its samples.
double data_share(const StepReport& r) { return r.seconds > 0 ? 100 * r.data_s / r.seconds : 0; }

std::string step_line(const StepReport& r, int world) {
  const std::string of = r.last_step > 0 ? fmt::format("/{}", r.last_step) : "";
  std::string line = fmt::format(
      "step {:>8}{}  epoch {:>3}  loss {:>9.6f}  lr {:.8f}  norm {:>10.4f}  tokens {:>12}  {:>9.0f} tok/s  {:>9.0f} /rank"
      "  data {:.1f}%",
      r.step, of, r.epoch, r.loss, r.lr, r.grad_norm, r.tokens, r.tokens_per_s, r.tokens_per_s / world, data_share(r));
  if (r.last_step > 0) line += fmt::format("  left {:>11}", clock_time(r.seconds_left));
  if (r.skipped) line += "  skipped";
  return line;
}

std::string bar_line(const StepReport& r, int world, int width) {
  const std::string facts = fmt::format("  loss {:.4f}  lr {:.3g}  norm {:.3g}  {:.0f} tok/s  {:.0f} /rank  data {:.1f}%", r.loss, r.lr,
                                        r.grad_norm, r.tokens_per_s, r.tokens_per_s / world, data_share(r));
  if (r.last_step <= 0) return fmt::format("step {}", r.step) + facts;
  const double done = std::clamp(static_cast<double>(r.step) / static_cast<double>(r.last_step), 0.0, 1.0);
  const std::string ends = fmt::format("  left {}", clock_time(r.seconds_left));
  const std::string head = fmt::format("{}/{} {:>3.0f}%", r.step, r.last_step, 100 * done);
  const int room = width - 1 - static_cast<int>(head.size() + facts.size() + ends.size()) - 3;
  std::string gauge;
  if (room >= 8) {
    const int cells = std::min(room, 30), full = static_cast<int>(done * cells);
    gauge = " [" + std::string(static_cast<size_t>(full), '=') + std::string(static_cast<size_t>(cells - full), ' ') + "]";
  }
  return (head + gauge + facts + ends).substr(0, static_cast<size_t>(std::max(width - 1, 20)));
}

}  // namespace

Terminal::~Terminal() { erase(); }

void Terminal::erase() {
  if (drawn_) print("\r\033[K");
  drawn_ = false;
}

void Terminal::line(const std::string& text) {
  if (!style_.speaks) return;
  const bool had_bar = drawn_;
  erase();
  print(text + "\n");
  if (!had_bar) return;
  print(bar_);
  drawn_ = true;
}

void Terminal::step(const StepReport& report) {
  if (!style_.speaks) return;
  if (style_.bar) return draw(report);
  if (report.step == report.last_step || report.step % style_.log_every == 0) print(step_line(report, style_.world) + "\n");
}

// The bar of smoothed numbers; that of the last step stays.
void Terminal::draw(StepReport report) {
  if (!report.skipped) {
    ++n_smoothed_;
    const double weight = std::max(smoothing, 1.0 / static_cast<double>(n_smoothed_));
    loss_ += weight * (report.loss - loss_);
    seconds_ += weight * (report.seconds - seconds_);
  }
  const auto now = std::chrono::steady_clock::now();
  const bool last = report.step == report.last_step;
  if (!last && std::chrono::duration<double>(now - drawn_at_).count() < redraw_interval_s) return;
  drawn_at_ = now;
  if (seconds_ > 0) {
    report.loss = loss_;
    report.tokens_per_s *= report.seconds / seconds_;
    report.seconds_left = static_cast<double>(report.last_step - report.step) * seconds_;
  }
  erase();
  bar_ = bar_line(report, style_.world, terminal_width());
  print(last ? bar_ + "\n" : bar_);
  drawn_ = !last;
}

void Terminal::validation(int64_t step, double loss, int64_t tokens) {
  line(fmt::format("validation after step {}: loss {:.6f}, perplexity {:.3f}, over {} tokens", step, loss, std::exp(loss), tokens));
}

}  // namespace rk
