//! An upload is cut, and its process killed, at every piece of it that goes over the wire: one complete
//! file is at the bank each time, and we know that it is.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use ach::Config;

use super::{
    proxy::{Cut, Proxy},
    sshd::Sshd,
    world::{CREDIT, Up, World, eventually, hash, names, runtime},
};

const NEVER: Duration = Duration::from_secs(3_600);

/// A bank behind a wire, and the files that it has.
struct Scene {
    world: World,
    up: Option<Up>,
    config: Config,
    proxy: Proxy,
    outbound: PathBuf,
    known: BTreeSet<String>,
    _wires: tokio::runtime::Runtime,
}

impl Scene {
    fn new(sshd: Option<&Sshd>) -> Self {
        let world = World::new();
        let wires = runtime();
        let mut config = world.config();
        let bank = match sshd {
            Some(sshd) => {
                config.host_keys = vec![sshd.host_key.clone()];
                config.user.clone_from(&sshd.user);
                config.outbound = sshd.path("outbound");
                config.acknowledgements = sshd.path("ack");
                config.returned = sshd.path("returned");
                sshd.address
            }
            None => world.sandbox().ach_address.unwrap(),
        };
        let outbound = sshd.map_or(world.folder("outbound"), |sshd| sshd.folder("outbound"));
        let proxy = Proxy::start(wires.handle(), bank);
        config.bank = proxy.address.to_string();
        // Nothing but uploads goes over the wire.
        (config.look, config.look_idle) = (NEVER, NEVER);
        config.answer_within = Duration::from_secs(5);
        let up = Some(world.up_with(config.clone()));
        Self { world, up, config, proxy, outbound, known: BTreeSet::new(), _wires: wires }
    }
    fn up(&self) -> &Up {
        self.up.as_ref().unwrap()
    }
    /// Brings a file over a wire that is cut so; whether it came to the cut.
    fn bring(&mut self, cut: Option<Cut>, kill: bool) -> bool {
        self.proxy.next(cut);
        let transfer = self.world.transfer();
        self.up().reserve(transfer, 4_200, CREDIT);
        self.up().cut_off(1);
        let mut killed = false;
        eventually("the cut or the end", || {
            self.proxy.was_cut() || !self.world.outcomes_of(transfer).is_empty()
        });
        let was_cut = self.proxy.was_cut();
        if kill && was_cut {
            self.up.take().unwrap().crash();
            self.proxy.next(None);
            self.up = Some(self.world.up_with(self.config.clone()));
            killed = true;
        }
        let told = self.world.until(transfer, "originated");
        assert_eq!(told.len(), 1, "{told:?}");
        let now: BTreeSet<String> = names(&self.outbound).into_iter().collect();
        let new: Vec<&String> = now.difference(&self.known).collect();
        assert_eq!(new.len(), 1, "{cut:?} killed {killed}: {new:?}");
        let files = self.up().files();
        assert_eq!(*new[0], files[0].name, "{cut:?}");
        let bytes = std::fs::read(self.outbound.join(new[0])).unwrap();
        assert_eq!(hash(&bytes), files[0].hash, "{cut:?}: the file that was fixed, whole");
        assert!(matches!(files[0].status.as_str(), "sent" | "acknowledged"), "{files:?}");
        let text = String::from_utf8(bytes).unwrap();
        let id = transfer.0.simple().to_string();
        assert_eq!(text.matches(&id).count(), 1);
        self.known = now;
        was_cut
    }
    /// How many pieces an upload with a new session has.
    fn pieces(&mut self) -> usize {
        // The first has a look after it.
        self.bring(None, false);
        self.bring(None, false);
        self.proxy.pieces()
    }
    fn every_cut(&mut self, kill: bool) -> usize {
        let pieces = self.pieces();
        assert!(pieces > 12, "{pieces} pieces for a session and an upload");
        let mut count = 0;
        for at in 0..pieces {
            for after in [false, true] {
                let cut = Cut { at, after, silent: kill };
                count += usize::from(self.bring(Some(cut), kill));
            }
        }
        // Pieces may come together, so that their number differs; what is behind the last is not cut.
        assert!(count >= 26, "{count} of {} cuts happened", 2 * pieces);
        self.bring(None, false);
        count
    }
    fn end(mut self) {
        let (instructed, faults) = self.up().read(ach::verify);
        assert_eq!((instructed.len(), faults), (self.known.len(), Vec::new()));
        self.up.take().unwrap().crash();
    }
}

/// All ways on one bank; `None` where there is no server to start.
fn every_way(kill: bool, openssh: bool) {
    let sshd = if openssh { Sshd::start() } else { None };
    if openssh && sshd.is_none() {
        return;
    }
    let mut scene = Scene::new(sshd.as_ref());
    let count = scene.every_cut(kill);
    if !openssh {
        scene.world.books();
    }
    let bank = if openssh { "OpenSSH" } else { "the sandbox's bank" };
    println!("ach: {count} {} in an upload to {bank}", if kill { "kills" } else { "cuts" });
    scene.end();
}

// They wait most of the time: together they take as long as one.
#[test]
fn an_upload_is_cut_and_killed_at_every_piece_on_both_banks() {
    std::thread::scope(|scope| {
        for kill in [false, true] {
            for openssh in [false, true] {
                scope.spawn(move || every_way(kill, openssh));
            }
        }
    });
}
