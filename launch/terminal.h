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
  void draw(StepReport report);
  void erase();

  Style style_;
  double loss_ = 0, seconds_ = 0;  // of a step, smoothed
  int64_t n_smoothed_ = 0;
  bool drawn_ = false;
  std::string bar_;
  std::chrono::steady_clock::time_point drawn_at_{};
};

}  // namespace rk
