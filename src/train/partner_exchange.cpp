#include "train/partner_exchange.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/thread_signals.h"
#include "comm/texts.h"
#include "io/disk.h"
#include "train/checkpoint_folders.h"
#include "train/snapshot_folder.h"

namespace rk {
namespace {

constexpr int64_t kParts = 128;                                                     // that a shard is cut into
constexpr int64_t kLeastBytes = int64_t{1} << 20, kMostBytes = int64_t{128} << 20;  // of a part

std::string content_of(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_write(path, 0, errno);
  std::string text(static_cast<size_t>(std::max<off_t>(lseek(fd, 0, SEEK_END), 0)), '\0');
  const ssize_t got = pread(fd, text.data(), text.size(), 0);
  close(fd);
  text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

}  // namespace

PartnerGroup make_partners(Comm& world, int node) {
  Comm& comm = world.host();
  const auto n = static_cast<size_t>(comm.size());
  std::vector<int64_t> nodes(n);
  auto mine = static_cast<int64_t>(node);
  comm.all_gather({&mine, {1}, DType::i64, Device::cpu}, {nodes.data(), {comm.size()}, DType::i64, Device::cpu}).wait();
  const int64_t n_nodes = *std::max_element(nodes.begin(), nodes.end()) + 1;
  // Hosts in pairs, the last three together where their number is odd; in them ranks with the same place on their hosts.
  const auto place = std::count(nodes.begin(), nodes.begin() + comm.rank(), mine);
  const int64_t pair = std::min(mine / 2, std::max<int64_t>(n_nodes / 2 - 1, 0));
  PartnerGroup group;
  group.comm = comm.split(static_cast<int>(pair * comm.size() + place));
  const auto size = static_cast<size_t>(group.comm->size());
  std::vector<int64_t> ranks(size);
  auto own = static_cast<int64_t>(comm.rank());
  group.comm->all_gather({&own, {1}, DType::i64, Device::cpu}, {ranks.data(), {group.comm->size()}, DType::i64, Device::cpu}).wait();
  if (size > 1) group.partner = static_cast<int>(ranks[(static_cast<size_t>(group.comm->rank()) + 1) % size]);
  return group;
}

PartnerExchange::PartnerExchange(Comm& world, PartnerGroup& group, const std::string& folder)
    : world_(world.host()), group_(group), folder_(folder) {
  const int rank = world_.rank();
  const std::string path = folder + "/" + shard_name(rank);
  std::string own_text;
  try {
    own_text = content_of(folder + "/" + manifest_name(rank));
    own_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (own_ < 0) fail_write(path, 0, errno);
    own_bytes_ = lseek(own_, 0, SEEK_END);
  } catch (const std::exception& e) {
    error_ = e.what();
  }
  const auto next = (static_cast<size_t>(group.comm->rank()) + 1) % static_cast<size_t>(group.comm->size());
  text_ = gather_texts(*group.comm, own_text)[next];
  std::vector<int64_t> sizes(static_cast<size_t>(group.comm->size()));
  group.comm->all_gather({&own_bytes_, {1}, DType::i64, Device::cpu}, {sizes.data(), {group.comm->size()}, DType::i64, Device::cpu}).wait();
  partner_bytes_ = sizes[next];
  int64_t longest = own_bytes_;
  world_.all_reduce({&longest, {1}, DType::i64, Device::cpu}, Reduce::max).wait();
  piece_ = std::clamp((longest + kParts - 1) / kParts, kLeastBytes, kMostBytes);
  n_pieces_ = (longest + piece_ - 1) / piece_;
  try {
    for (Buffer& b : out_) b = Buffer(Device::cpu, static_cast<size_t>(piece_));
    for (Buffer& b : in_) b = Buffer(Device::cpu, static_cast<size_t>(piece_) * sizes.size());
    // Hosts that share one folder have it already.
    if (error_.empty() && group.partner >= 0 && ::access((folder + "/" + manifest_name(group.partner)).c_str(), F_OK) != 0) {
      const std::string other = folder + "/" + shard_name(group.partner);
      require_space(other, static_cast<uint64_t>(partner_bytes_));
      other_ = open(other.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
      if (other_ < 0) fail_write(other, 0, errno);
    }
  } catch (const std::exception& e) {
    error_ = e.what();
  }
  background(-1, 0);
}

PartnerExchange::~PartnerExchange() {
  if (thread_.joinable()) thread_.join();
  ticket_.wait();
  if (own_ >= 0) close(own_);
  if (other_ >= 0) close(other_);
}

// Stores the part `received`, and reads the part `next` of the own file.
void PartnerExchange::background(int64_t received, int64_t next) {
  thread_ = std::thread([this, received, next] {
    leave_signals_to_others();
    if (!error_.empty()) return;
    const auto from = static_cast<int64_t>((group_.comm->rank() + 1) % group_.comm->size()) * piece_;
    for (int64_t at = 0, n = other_ < 0 || received < 0 ? 0 : std::min(piece_, partner_bytes_ - received * piece_); at < n;) {
      const ssize_t done =
          pwrite(other_, in_[static_cast<size_t>(received % 2)].data() + from + at, static_cast<size_t>(n - at), received * piece_ + at);
      if (done < 0) {
        error_ = cat("a partner's shard cannot be written: ", std::strerror(errno));
        return;
      }
      at += done;
    }
    for (int64_t at = 0, n = next >= n_pieces_ ? 0 : std::min(piece_, own_bytes_ - next * piece_); at < n;) {
      const ssize_t done = pread(own_, out_[static_cast<size_t>(next % 2)].data() + at, static_cast<size_t>(n - at), next * piece_ + at);
      if (done <= 0) {
        error_ = "a shard cannot be read again for its partner";
        return;
      }
      at += done;
    }
  });
}

bool PartnerExchange::go_on() {
  ticket_.wait();
  ticket_ = {};
  thread_.join();
  if (at_ == n_pieces_ + 1) {
    finish();
    return true;
  }
  const bool sends = at_ < n_pieces_;
  if (sends) {
    const auto slot = static_cast<size_t>(at_ % 2);
    ticket_ = group_.comm->all_gather(out_[slot].tensor(DType::u8, {piece_}), in_[slot].tensor(DType::u8, {piece_ * group_.comm->size()}));
  }
  background(at_ - 1, at_ + 1);
  ++at_;
  return false;
}

void PartnerExchange::finish() {
  if (error_.empty() && other_ >= 0) {
    try {
      write_file(folder_ + "/" + manifest_name(group_.partner), text_);
    } catch (const std::exception& e) {
      error_ = e.what();
    }
  }
  error_ = first_of(gather_texts(world_, error_)).value_or("");
}

}  // namespace rk
