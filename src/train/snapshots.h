// Snapshots of a running run: each rank writes its shard into a folder of its host and, where partners are asked for, another host's.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "train/checkpoint_writer.h"
#include "train/partner_exchange.h"

namespace rk {

// All ranks call the same functions at the same steps.
class Snapshots {
 public:
  struct Site {
    std::string dir, run;
    bool partner = false;
    int node = 0;
    std::vector<TensorShape> tensors;
  };
  // writer: is used while nothing else is. Collective.
  Snapshots(const Site& site, Comm& comm, ShardWriter& writer);
  Snapshots(const Snapshots&) = delete;
  Snapshots& operator=(const Snapshots&) = delete;
  ~Snapshots();

  // Removes what lies in the host's folder but the snapshot of the step that this run begins with (-1: all).
  void begin_anew(int64_t step);
  bool has_partners() const { return partners_ != nullptr; }
  bool idle() const { return !writing_ && !exchange_; }
  bool writing() const { return writing_; }  // this rank's shard is not complete, or the others' are not known to be
  bool done() const { return writer_.done(); }

  void begin(CheckpointState state, const std::vector<TensorPiece>& pieces);
  // When all ranks' writers are done or one has failed: a sentence about it, or "" while partners exchange their shards.
  std::string end(bool failed);
  // Something more important needs the writer.
  void cancel();
  // Once a step: sends a part of the shards to partners. A sentence when that is complete.
  std::string go_on();
  // What the run has saved is newer: nothing of this is needed any longer.
  void remove();

 private:
  std::string complete();
  std::string give_up(const std::string& why);
  std::string folder() const;
  void in_background(const std::function<void()>& action);

  Site site_;
  Comm& comm_;
  ShardWriter& writer_;
  bool leads_;  // of the ranks of this host
  Manifest manifest_;
  bool writing_ = false;
  std::unique_ptr<PartnerGroup> partners_;
  std::unique_ptr<PartnerExchange> exchange_;
  std::thread cleaner_;
};

}  // namespace rk
