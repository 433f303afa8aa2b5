// A client with what Java brings: java.net.http. Usage: java Client.java PORT CERTIFICATE TOKEN CHANNEL ITEM
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.UUID;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Client implements WebSocket.Listener {
    final LinkedBlockingQueue<String> frames = new LinkedBlockingQueue<>();
    final StringBuilder part = new StringBuilder();
    static String channel, item;
    static long seen;
    static final StringBuilder heard = new StringBuilder();
    WebSocket socket;
    int last;

    // A message may come in parts.
    public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean whole) {
        part.append(text);
        if (whole) {
            frames.add(part.toString());
            part.setLength(0);
        }
        socket.request(1);
        return null;
    }

    static Client open(HttpClient http, String port, String token) throws Exception {
        var client = new Client();
        client.socket = http.newWebSocketBuilder().header("Authorization", "Bearer " + token).subprotocols("carethread.v1")
            .buildAsync(URI.create("wss://localhost:" + port + "/v1/ws"), client).get(20, TimeUnit.SECONDS);
        demand(client.next().contains("\"auth\":\"ok\""), "signed in by the header");
        demand(client.socket.getSubprotocol().equals("carethread.v1"), "the subprotocol");
        return client;
    }

    String next() throws Exception {
        var frame = frames.poll(30, TimeUnit.SECONDS);
        demand(frame != null, "a frame");
        // A program would read JSON with a library; this one looks for what it needs.
        if (frame.startsWith("{\"type\":\"event\"") && frame.contains("\"channel\":\"" + channel + "\"") && number(frame, "seq") > seen) {
            demand(number(frame, "seq") == seen + 1, "no gap before " + frame);
            seen = number(frame, "seq");
            heard.append(frame);
        }
        return frame;
    }

    String ask(String op, String data) throws Exception {
        int id = ++last;
        socket.sendText("{\"id\":" + id + ",\"op\":\"" + op + "\",\"data\":" + data + "}", true).get(20, TimeUnit.SECONDS);
        return until("\"id\":" + id + ",");
    }

    String until(String words) throws Exception {
        for (var frame = next(); ; frame = next()) {
            if (frame.contains(words)) return frame;
        }
    }

    // An event may have come while an answer was waited for.
    void hear(String text) throws Exception {
        while (heard.indexOf("\"text\":\"" + text + "\"") < 0) next();
    }

    static String message(String text, String more) {
        return "{\"channel\":\"" + channel + "\",\"item\":\"" + item + "\",\"text\":\"" + text + "\"" + more + "}";
    }

    static long number(String frame, String name) {
        var found = Pattern.compile("\"" + name + "\":(\\d+)").matcher(frame);
        demand(found.find(), name + " in " + frame);
        return Long.parseLong(found.group(1));
    }

    static void demand(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    public static void main(String[] a) throws Exception {
        channel = a[3];
        item = a[4];
        var trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null);
        trusted.setCertificateEntry("server", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(a[1])));
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        var tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        var http = HttpClient.newBuilder().sslContext(tls).build();

        var client = open(http, a[0], a[2]);
        var page = client.ask("history", "{\"channel\":\"" + channel + "\",\"limit\":1}");
        seen = number(page, "seq");
        client.ask("resume", "{\"cursors\":{\"" + channel + "\":" + seen + "}}");
        var key = ",\"key\":\"" + UUID.randomUUID() + "\"";
        client.ask("message.post", message("java was here", key));
        client.hear("java was here");
        client.hear("seen, java"); // by another client
        demand(client.ask("message.post", message("java was here", key)).contains("\"repeat\":true"), "the same key, the same answer");

        client.ask("message.post", message("java is away", ""));
        client.socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get(20, TimeUnit.SECONDS);
        Thread.sleep(300);
        client = open(http, a[0], a[2]);
        demand(client.ask("resume", "{\"cursors\":{\"" + channel + "\":" + seen + "}}").contains("\"reset\":[]"), "resumed");
        for (int n = 1; n <= 3; n++) client.hear("java missed this " + n);
        var refused = client.ask("message.post", "{\"channel\":\"" + channel + "\",\"text\":\"no item\"}");
        demand(refused.contains("\"type\":\"error\"") && refused.contains("\"code\":\"plan_item_required\"")
            && refused.contains("\"field\":\"item\"") && refused.contains("\"retry\":false"), refused);
        client.socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get(20, TimeUnit.SECONDS);
        System.out.println("spoken with");
    }
}
