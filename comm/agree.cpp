#include "comm/agree.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/rng.h"

namespace rk {
namespace {

struct Failure {
  int64_t code;
  std::string message;
};

std::optional<Failure> attempt(const std::function<void()>& action) {
  try {
    action();
    return std::nullopt;
  } catch (const Error& e) {
    return Failure{static_cast<int64_t>(e.code()), e.what()};
  } catch (const std::exception& e) {
    return Failure{static_cast<int64_t>(ExitCode::failure), e.what()};
  }
}

Tensor over(std::vector<int64_t>& numbers) {
  Tensor t;
  t.data = numbers.data();
  t.shape = {static_cast<int64_t>(numbers.size())};
  t.dtype = DType::i64;
  return t;
}

std::string broadcast_text(Comm& comm, std::string text, int64_t length, int root) {
  text.resize(static_cast<size_t>(length));
  Tensor t;
  t.data = text.data();
  t.shape = {length};
  t.dtype = DType::u8;
  comm.broadcast(t, root).wait();
  return text;
}

}  // namespace

void agree(Comm& comm, const std::function<void()>& action) {
  const std::optional<Failure> failure = attempt(action);

  // Per rank: failed, exit code, length of the message, its hash.
  constexpr size_t kFields = 4;
  const std::string own = failure ? failure->message : "";
  std::vector<int64_t> mine{failure ? 1 : 0, failure ? failure->code : 0, static_cast<int64_t>(own.size()),
                            static_cast<int64_t>(stream_of(own.c_str()))};
  std::vector<int64_t> all(kFields * static_cast<size_t>(comm.size()));
  comm.all_gather(over(mine), over(all)).wait();

  const auto rank_fields = [&](int rank) { return all.begin() + static_cast<ptrdiff_t>(kFields) * rank; };
  int first = 0;
  while (first < comm.size() && *rank_fields(first) == 0) ++first;
  if (first == comm.size()) return;

  bool alike = true;
  for (int r = 0; r < comm.size(); ++r) alike &= std::equal(rank_fields(r), rank_fields(r) + kFields, rank_fields(first));
  const std::string message = broadcast_text(comm, comm.rank() == first ? own : "", rank_fields(first)[2], first);
  fail(alike ? message : cat("rank ", first, ": ", message), static_cast<ExitCode>(rank_fields(first)[1]));
}

}  // namespace rk
