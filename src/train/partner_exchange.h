// Ranks of different hosts hold a copy of each other's shard, so that a lost host loses none. Files are sent a part a step, through the
// host's memory, while training goes on.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <thread>

#include "comm/comm.h"
#include "device/buffer.h"

namespace rk {

// Two or three ranks of different hosts: each writes the shard of the one behind it.
struct PartnerGroup {
  std::unique_ptr<Comm> comm;  // of the host's memory
  int partner = -1;            // whose shard this rank writes, in the world; -1: nobody's, for lack of another host
};
// Collective.
PartnerGroup make_partners(Comm& comm, int node);

class PartnerExchange {
 public:
  // The shard of this rank is in `folder`, complete. Collective, over all ranks.
  PartnerExchange(Comm& world, PartnerGroup& group, const std::string& folder);
  PartnerExchange(const PartnerExchange&) = delete;
  PartnerExchange& operator=(const PartnerExchange&) = delete;
  ~PartnerExchange();

  // Sends one part. True: all is there, or something went wrong on some rank. Collective.
  bool go_on();
  // Of the first rank that has one, when go_on() has returned true.
  const std::string& error() const { return error_; }

 private:
  void background(int64_t received, int64_t next);
  void finish();

  Comm& world_;
  PartnerGroup& group_;
  std::string folder_, text_;
  int64_t piece_ = 0, n_pieces_ = 0, at_ = 0, own_bytes_ = 0, partner_bytes_ = 0;
  std::array<Buffer, 2> out_, in_;
  int own_ = -1, other_ = -1;  // open files
  std::thread thread_;
  Ticket ticket_;
  std::string error_;
};

}  // namespace rk
