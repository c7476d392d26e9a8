// A hash of all that an optimizer step changes: master weights and moments. The same for any number of ranks and any ZeRO stage.
#pragma once
#include <string>

#include "shard/shards.h"

namespace rk {

class StateHasher {
 public:
  explicit StateHasher(const Exec& ex);  // ex without arenas will do; it must outlive this object's last call
  // 16 hexadecimal digits. Waits for all work of the device. Collective.
  std::string of(Shards& shards, Comm& comm);

 private:
  Exec device_, host_;
  Buffer on_device_;
};

}  // namespace rk
