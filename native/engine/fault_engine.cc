// The fault engine: see fault.h; which rule acts on an Io: fault_rules.cc. A tool for rehearsals and tests: unlike
// the other engines it may allocate.
#include <algorithm>
#include <atomic>
#include <deque>

#include "device/device.h"
#include "engine/fault.h"

namespace dmiofs {
namespace {

constexpr nanos_t kHangPoll = 10 * kNanosPerMilli;  // how soon an Io that hangs sees its rule gone

class FaultQueue final : public IoQueue {
 public:
  FaultQueue(std::unique_ptr<IoQueue> inner, std::shared_ptr<FaultRules> rules)
      : inner_(std::move(inner)), rules_(std::move(rules)) {}

  void queue(Io* io) noexcept override {
    in_flight_++;
    Faulted* faulted = take();
    faulted->original = io;
    if (!rules_->choose(*io, &faulted->rule)) {
      faulted->acts = false;
      forward(faulted);
      return;
    }
    faulted->acts = true;
    switch (faulted->rule.action) {
      case FaultAction::kError: end(faulted, -faulted->rule.error); break;
      case FaultAction::kDrop: end(faulted, 0); break;
      case FaultAction::kHang: hanging_.push_back(faulted); break;
      case FaultAction::kDelay:
        faulted->due = now_nanos() + faulted->rule.delay_nanos;
        forward(faulted);
        break;
      case FaultAction::kErrorAfter:
      case FaultAction::kCorrupt: forward(faulted); break;
      case FaultAction::kTorn: tear(faulted); break;
    }
  }

  void submit() noexcept override {
    inner_->submit();
    complete_ready();
  }

  unsigned reap(nanos_t deadline) noexcept override {
    completed_ = 0;
    for (;;) {
      release_hanging();
      complete_ready();
      if (completed_ > 0) {
        inner_->submit();
        return completed_;
      }
      nanos_t until = deadline;
      for (const Faulted* faulted : delayed_) until = std::min(until, faulted->due);
      if (!hanging_.empty()) until = std::min(until, now_nanos() + kHangPoll);
      inner_->reap(until);
      complete_ready();
      const bool woken = woken_.exchange(false);
      if (completed_ > 0) inner_->submit();
      if (completed_ > 0 || woken || (deadline != kNoDeadline && now_nanos() >= deadline)) return completed_;
    }
  }

  void wake() noexcept override {
    woken_.store(true);  // the inner queue's own may be used up by a reap() that this queue did for itself
    inner_->wake();
  }
  unsigned in_flight() const noexcept override { return in_flight_; }

 private:
  struct Faulted {
    Io inner;
    Io* original = nullptr;
    FaultQueue* queue = nullptr;
    FaultRule rule;
    bool acts = false;
    nanos_t due = 0;
    int result = 0;
    std::vector<iovec> torn;
  };

  Faulted* take() {
    if (free_.empty()) {
      all_.push_back(std::make_unique<Faulted>());
      all_.back()->queue = this;
      free_.push_back(all_.back().get());
    }
    Faulted* faulted = free_.back();
    free_.pop_back();
    return faulted;
  }

  void forward(Faulted* faulted) {
    const Io& original = *faulted->original;
    forward_part(faulted, original.length, original.iov, original.iov_count);
  }

  void forward_part(Faulted* faulted, uint64_t length, const iovec* iov, unsigned iov_count) {
    faulted->inner = Io{};
    faulted->inner.op = faulted->original->op;
    faulted->inner.device = faulted->original->device;
    faulted->inner.offset = faulted->original->offset;
    faulted->inner.length = length;
    faulted->inner.iov = iov;
    faulted->inner.iov_count = iov_count;
    faulted->inner.context = faulted;
    faulted->inner.on_complete = [](Io* io) {
      auto* self = static_cast<Faulted*>(io->context);
      self->queue->inner_ended(self, io->result);
    };
    inner_->queue(&faulted->inner);
  }

  void tear(Faulted* faulted) {
    const Io& original = *faulted->original;
    // Whole logical blocks only: a device tears between blocks.
    const uint64_t block = original.device->info().logical_block_size;
    const uint64_t length = std::min(faulted->rule.torn_bytes, original.length) / block * block;
    if (length == 0) {
      end(faulted, -faulted->rule.error);
      return;
    }
    faulted->torn.clear();
    uint64_t left = length;
    for (unsigned i = 0; i < original.iov_count && left > 0; i++) {
      iovec piece = original.iov[i];
      piece.iov_len = std::min<uint64_t>(piece.iov_len, left);
      left -= piece.iov_len;
      faulted->torn.push_back(piece);
    }
    forward_part(faulted, length, faulted->torn.data(), static_cast<unsigned>(faulted->torn.size()));
  }

  void inner_ended(Faulted* faulted, int result) {
    if (faulted->acts) {
      switch (faulted->rule.action) {
        case FaultAction::kErrorAfter:
        case FaultAction::kTorn: result = -faulted->rule.error; break;
        case FaultAction::kCorrupt:
          if (result == 0) corrupt(*faulted->original);
          break;
        case FaultAction::kDelay:
          faulted->result = result;
          delayed_.push_back(faulted);
          return;
        case FaultAction::kError:
        case FaultAction::kHang:
        case FaultAction::kDrop: break;
      }
    }
    end(faulted, result);
  }

  static void corrupt(const Io& io) {
    if (io.iov_count > 0) static_cast<uint8_t*>(io.iov[0].iov_base)[io.iov[0].iov_len / 2] ^= 0x40;
  }

  void end(Faulted* faulted, int result) {
    faulted->result = result;
    ready_.push_back(faulted);
  }

  void release_hanging() {
    for (size_t i = 0; i < hanging_.size();) {
      Faulted* faulted = hanging_[i];
      if (rules_->has(faulted->rule.id)) {
        i++;
        continue;
      }
      hanging_.erase(hanging_.begin() + static_cast<std::ptrdiff_t>(i));
      faulted->acts = false;
      forward(faulted);
    }
  }

  void complete_ready() {
    const nanos_t now = now_nanos();
    for (size_t i = 0; i < delayed_.size();) {
      if (delayed_[i]->due > now) {
        i++;
        continue;
      }
      ready_.push_back(delayed_[i]);
      delayed_.erase(delayed_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    while (!ready_.empty()) {
      Faulted* faulted = ready_.front();
      ready_.pop_front();
      Io* original = faulted->original;
      original->result = faulted->result;
      free_.push_back(faulted);
      in_flight_--;
      completed_++;
      original->on_complete(original);
    }
  }

  const std::unique_ptr<IoQueue> inner_;
  const std::shared_ptr<FaultRules> rules_;
  std::vector<std::unique_ptr<Faulted>> all_;
  std::vector<Faulted*> free_;
  std::vector<Faulted*> hanging_;
  std::vector<Faulted*> delayed_;
  std::deque<Faulted*> ready_;
  std::atomic<bool> woken_{false};
  unsigned completed_ = 0;
  unsigned in_flight_ = 0;
};

class FaultEngine final : public Engine {
 public:
  FaultEngine(std::shared_ptr<Engine> inner, std::shared_ptr<FaultRules> rules)
      : inner_(std::move(inner)),
        rules_(std::move(rules)),
        name_(std::string("fault(") + inner_->name() + ")") {}
  const char* name() const noexcept override { return name_.c_str(); }
  Result<std::unique_ptr<IoQueue>> open_queue(unsigned depth) override {
    auto inner = inner_->open_queue(depth);
    if (!inner.ok()) return inner.error();
    return std::unique_ptr<IoQueue>(new FaultQueue(inner.take(), rules_));
  }

 private:
  const std::shared_ptr<Engine> inner_;
  const std::shared_ptr<FaultRules> rules_;
  const std::string name_;
};

}  // namespace

std::shared_ptr<Engine> make_fault_engine(std::shared_ptr<Engine> inner, std::shared_ptr<FaultRules> rules) {
  return std::make_shared<FaultEngine>(std::move(inner), std::move(rules));
}

}  // namespace dmiofs
