// Stacks that one thread of the CPU runs on in turn.
#pragma once
#include <cstddef>

namespace rk::cuda::emulator {

// A stack, and where on it to go on.
struct Context {
  void* at = nullptr;
  const void* low = nullptr;  // its bytes, of which AddressSanitizer wants to know
  size_t n_bytes = 0;
  void* fake_stack = nullptr;
};

// Leaves the running stack, whose context is `from`, and goes on with `to`. `last`: nobody will come back.
void switch_to(Context& from, const Context& to, bool last = false);
// The first thing that a new stack's function calls.
void arrived();
// The stack that the CPU's thread began with.
Context own_stack();

// n stacks, each ending in a page that may not be touched.
class Stacks {
 public:
  explicit Stacks(int n);
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks();

  // Switching to it begins entry(), which never returns, on stack i.
  Context begin(int i, void (*entry)()) const;

 private:
  char* memory_ = nullptr;
  int n_;
};

}  // namespace rk::cuda::emulator
