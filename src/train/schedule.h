// The learning rate and the weight decay of every step (golden rwkv7 §11, rwkv456 §7; RWKV-LM v4neo, v5 and v7 trainers).
#pragma once
#include <cstdint>

namespace rk {

struct Schedule {
  double lr_init = 6e-4, lr_final = 1e-5;
  int64_t warmup_steps = -1;   // counted from the launch; -1: none, and the cosine starts one step earlier
  double warmup_floor = 0.01;  // factor of the first warm-up step
  int64_t ctx_len = 1, real_bsz = 1;
  int64_t my_exit_tokens = 0;  // > 0 cosine over tokens; < 0 mean of cosine and the older form; 0 the older form
  int64_t epoch_begin = 0, epoch_steps = 0, epoch_count = 0;
  int64_t total_steps = 0;         // of the older form; 0 = epoch_count * epoch_steps
  int64_t my_pile_edecay = 0;      // mini-epochs before the older form begins to fall
  double weight_decay = 0;         // of parameters that decay
  double weight_decay_final = -1;  // where it ends, exponentially, if above 0

  // Base rate of the step after `step` steps of this launch were done; groups multiply it by their lr_scale.
  double lr(int64_t step) const;
  double decay(int64_t step) const;
  // Whether the horizon of my_exit_tokens is reached: the run ends before this step.
  bool past_horizon(int64_t step) const;

 private:
  int64_t real_step(int64_t step) const { return step + epoch_begin * epoch_steps; }
  int64_t n_steps() const { return total_steps > 0 ? total_steps : epoch_count * epoch_steps; }
  double token_progress(int64_t step) const;
  double epoch_progress(int64_t step) const;
  double cosine(int64_t step) const;
  double by_epochs(int64_t step) const;  // exponential, linear or constant
};

}  // namespace rk
