import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.rest.RESTCatalogAdapter;
import org.apache.iceberg.rest.RESTCatalogServlet;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/**
 * Iceberg's own REST catalog on loopback: arguments are the port and a folder. Any POST makes an empty catalog and answers
 * with the port where it is served, so that each test has one of its own.
 */
public class RestCatalog {
  public static void main(String[] arguments) throws Exception {
    serve(Integer.parseInt(arguments[0]), new HttpServlet() {
      private int count = 0;

      @Override
      protected synchronized void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        var name = "catalog" + count++;
        Map<String, String> properties = new HashMap<>();
        properties.put("catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog");
        properties.put("uri", "jdbc:sqlite:" + arguments[1] + "/" + name + ".db");
        properties.put("warehouse", "file://" + arguments[1] + "/" + name);
        properties.put("jdbc.schema-version", "V1");
        // One connection: two that write make SQLite answer "busy".
        properties.put("clients", "1");
        var catalog = CatalogUtil.buildIcebergCatalog(name, properties, null);
        response.getWriter().print(serve(0, new RESTCatalogServlet(new RESTCatalogAdapter(catalog))));
      }
    });
  }

  private static int serve(int port, HttpServlet servlet) {
    var server = new Server(new InetSocketAddress("127.0.0.1", port));
    var context = new ServletContextHandler();
    context.addServlet(new ServletHolder(servlet), "/*");
    server.setHandler(context);
    try {
      server.start();
    } catch (Exception error) {
      throw new IllegalStateException(error);
    }
    return ((ServerConnector) server.getConnectors()[0]).getLocalPort();
  }
}
