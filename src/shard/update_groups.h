// Which elements of a bucket are updated alike: neighbours with one learning-rate scale and one decay.
#pragma once
#include <vector>

#include "device/exec.h"
#include "params/flat_layout.h"

namespace rk {

struct UpdateGroup {
  int64_t end;             // counted from the first element of the range
  double lr_scale, decay;  // decay: 1 where the step's weight decay holds, else 0
};

// Of elements [begin, end) of the bucket; padding belongs to the group before it.
std::vector<UpdateGroup> update_groups(const BucketLayout& bucket, int64_t begin, int64_t end);

// The groups of several ranges as the tensors that kernels/adamw takes, in one buffer.
class UpdateGroupTables {
 public:
  struct Table {
    Tensor ends, lr_scale, decay;
  };
  UpdateGroupTables() = default;
  UpdateGroupTables(const Exec& ex, const std::vector<std::vector<UpdateGroup>>& ranges);
  const Table& operator[](size_t range) const { return tables_[range]; }

 private:
  Buffer memory_;
  std::vector<Table> tables_;
};

}  // namespace rk
