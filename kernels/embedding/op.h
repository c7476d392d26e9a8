// Table lookup.
//   x[r] = table[id_r]        ids [R] i32   table [V,C]   x [R,C]
// Backward adds dx's rows to dtable [V,C] (accumulation dtype) in the order of r: deterministic for any thread count.
// An id outside [0,V) is a broken promise: batches are checked when they are read.
#pragma once
#include "device/exec.h"

namespace rk {

struct EmbeddingForward {
  Tensor ids, table, x;
};
struct EmbeddingBackward {
  Tensor ids, dx, dtable;
};
void run(const Exec& ex, const EmbeddingForward& a);
void run(const Exec& ex, const EmbeddingBackward& a);

}  // namespace rk
