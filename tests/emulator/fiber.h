// Stacks that one thread of the CPU runs on in turn.
#pragma once
#include <cstddef>

namespace rk::cuda::emulator {

// Leaves this stack, remembering where in *from, and goes on at `to`.
extern "C" void rk_emulator_switch_stack(void** from, void* to);

// n stacks, each ending in a page that may not be touched.
class Stacks {
 public:
  explicit Stacks(int n);
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks();

  // Where to switch to so that entry(), which never returns, begins on stack i.
  void* begin(int i, void (*entry)()) const;

 private:
  char* memory_ = nullptr;
  int n_;
};

}  // namespace rk::cuda::emulator
