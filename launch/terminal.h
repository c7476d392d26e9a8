// What a person sees of a run.
#pragma once
#include <chrono>
#include <string>

#include "train/trainer.h"

namespace rk {

// Shows remarks and steps on standard output: a line that redraws itself a few times a second, or one line per logged step in columns
// that never move. A silent one (every rank but 0) shows nothing.
class Terminal : public Observer {
 public:
  struct Style {
    bool speaks = true, bar = false;
    int64_t log_every = 1;
    int world = 1;
  };
  explicit Terminal(Style style) : style_(style) {}
  ~Terminal() override;

  void line(const std::string& text) override;
  void step(const StepReport& report) override;
  void validation(int64_t step, double loss, int64_t tokens) override;

 private:
  void draw(const StepReport& report);
  void erase();

  Style style_;
  double smooth_loss_ = 0;
  int64_t n_smoothed_ = 0;
  bool drawn_ = false;
  std::string bar_;
  std::chrono::steady_clock::time_point drawn_at_{};
};

// The columns of a logged step; `smooth_loss` is the bar's. Pure functions, for tests.
std::string step_line(const StepReport& report, int world);
std::string bar_line(const StepReport& report, double smooth_loss, int world, int width);
std::string clock_time(double seconds);  // "1:02:03", "2d 01:02:03"

}  // namespace rk
