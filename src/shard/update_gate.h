// Whoever reads the optimizer's state while training goes on: updates wait for it.
#pragma once
#include <cstddef>

struct CUstream_st;

namespace rk {

class UpdateGate {
 public:
  virtual ~UpdateGate() = default;
  // The state of a bucket is about to change: by work that will be queued on `stream`, or, where that is null, by the caller on return.
  // Called for all buckets in their order, once a step, by one thread at a time. Does not allocate.
  virtual void before_update(size_t bucket, CUstream_st* stream) = 0;
};

}  // namespace rk
